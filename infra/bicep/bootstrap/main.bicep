metadata description = 'Once for each subscription, by an owner: the identities of the pipelines of a repository.'

targetScope = 'subscription'

import { roleIds } from '../role-ids.bicep'

@description('Required. The repository as the subject of its tokens has it: `OWNER@OWNER_ID/NAME@REPOSITORY_ID`; `OWNER/NAME` if it is older. See docs/deploy.md.')
param repository string

@description('Required. The region of the identities.')
param location string

@description('Optional. The environments of the repository whose jobs may deploy to this subscription.')
param environments string[] = ['dev', 'prod-first', 'prod-rest']

@description('Optional. The environments whose jobs may look and compute what would change, and nothing else.')
param lookingEnvironments string[] = ['what-if-dev', 'what-if-prod']

@description('Optional. The environments whose jobs only call the broker: their identities have no role in Azure.')
param callingEnvironments string[] = ['smoke']

var contributorId = 'b24988ac-6180-42a0-ab88-20f7382dd24c'
var roleAdministratorId = 'f58310d9-a9f6-439a-9e8d-f62e7b41a168'
var allowedRoles = join(map(items(roleIds), role => role.value), ', ')

// The types of the template's resources. `*/read` would also read logs and the keys of workspaces and apps.
var lookedAt = [
  'Microsoft.Authorization/roleAssignments'
  'Microsoft.Authorization/roleDefinitions'
  'Microsoft.Cdn/profiles'
  'Microsoft.Cdn/profiles/afdEndpoints'
  'Microsoft.Cdn/profiles/afdEndpoints/routes'
  'Microsoft.Cdn/profiles/customDomains'
  'Microsoft.Cdn/profiles/originGroups'
  'Microsoft.Cdn/profiles/originGroups/origins'
  'Microsoft.Cdn/profiles/securityPolicies'
  'Microsoft.CognitiveServices/accounts'
  'Microsoft.Consumption/budgets'
  'Microsoft.EventGrid/topics'
  'Microsoft.EventGrid/topics/eventSubscriptions'
  'Microsoft.Insights/actionGroups'
  'Microsoft.Insights/components'
  'Microsoft.Insights/diagnosticSettings'
  'Microsoft.Insights/metricAlerts'
  'Microsoft.Insights/scheduledQueryRules'
  'Microsoft.Insights/webtests'
  'Microsoft.Insights/workbooks'
  'Microsoft.KeyVault/vaults'
  'Microsoft.KeyVault/vaults/secrets'
  'Microsoft.ManagedIdentity/userAssignedIdentities'
  'Microsoft.Network/FrontDoorWebApplicationFirewallPolicies'
  'Microsoft.Network/networkSecurityGroups'
  'Microsoft.Network/privateDnsZones'
  'Microsoft.Network/privateDnsZones/virtualNetworkLinks'
  'Microsoft.Network/privateEndpoints'
  'Microsoft.Network/privateEndpoints/privateDnsZoneGroups'
  'Microsoft.Network/virtualNetworks'
  'Microsoft.OperationalInsights/workspaces'
  'Microsoft.Resources/deployments'
  'Microsoft.Resources/deployments/operations'
  'Microsoft.Resources/subscriptions'
  'Microsoft.Resources/subscriptions/resourceGroups'
  'Microsoft.Storage/storageAccounts'
  'Microsoft.Storage/storageAccounts/blobServices'
  'Microsoft.Storage/storageAccounts/blobServices/containers'
  'Microsoft.Storage/storageAccounts/managementPolicies'
  'Microsoft.Storage/storageAccounts/queueServices'
  'Microsoft.Storage/storageAccounts/queueServices/queues'
  'Microsoft.Storage/storageAccounts/tableServices'
  'Microsoft.Storage/storageAccounts/tableServices/tables'
  'Microsoft.Web/serverfarms'
  'Microsoft.Web/sites'
  'Microsoft.Web/sites/basicPublishingCredentialsPolicies'
  'Microsoft.Web/sites/certificates'
  'Microsoft.Web/sites/config'
  'Microsoft.Web/sites/hostNameBindings'
]

// https://learn.microsoft.com/azure/role-based-access-control/delegate-role-assignments-examples
var onlyRolesOfTheTemplateToOthers = '''
((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'}))
 OR (@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {ROLES}
  AND @Request[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal'}
  AND @Request[Microsoft.Authorization/roleAssignments:PrincipalId] ForAnyOfAllValues:GuidNotEquals {ITSELF}))
AND
((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'}))
 OR (@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {ROLES}))
'''

resource resourceGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-liveness-deployers'
  location: location
}

module deployers 'deployer.bicep' = [
  for environment in environments: {
    scope: resourceGroup
    params: {
      environment: environment
      repository: repository
      location: location
    }
  }
]

module lookers 'deployer.bicep' = [
  for environment in lookingEnvironments: {
    scope: resourceGroup
    params: {
      environment: environment
      repository: repository
      location: location
    }
  }
]

module callers 'deployer.bicep' = [
  for environment in callingEnvironments: {
    scope: resourceGroup
    params: {
      environment: environment
      repository: repository
      location: location
    }
  }
]

module contributors 'assignment.bicep' = [
  for (environment, i) in environments: {
    params: {
      principalId: deployers[i].outputs.principalId
      roleId: contributorId
    }
  }
]

module roleAdministrators 'assignment.bicep' = [
  for (environment, i) in environments: {
    params: {
      principalId: deployers[i].outputs.principalId
      roleId: roleAdministratorId
      condition: replace(
        replace(onlyRolesOfTheTemplateToOthers, 'ROLES', allowedRoles),
        'ITSELF',
        deployers[i].outputs.principalId
      )
    }
  }
]

resource whatIf 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'liveness-what-if')
  properties: {
    // A tenant has no two custom roles of one name, and each subscription has its own.
    roleName: 'Liveness broker what-if ${subscription().subscriptionId}'
    description: 'Reads resources, no data and no keys, and computes what a deployment would change.'
    type: 'CustomRole'
    assignableScopes: [subscription().id]
    permissions: [
      {
        actions: concat(
          map(lookedAt, type => '${type}/read'),
          ['Microsoft.Resources/deployments/validate/action', 'Microsoft.Resources/deployments/whatIf/action']
        )
      }
    ]
  }
}

module looking 'assignment.bicep' = [
  for (environment, i) in lookingEnvironments: {
    params: {
      principalId: lookers[i].outputs.principalId
      roleId: whatIf.name
    }
  }
]

@description('What to set as the variable AZURE_CLIENT_ID of each environment of the repository.')
output clientIds string[] = [
  for (environment, i) in environments: '${environment}: ${deployers[i].outputs.clientId}'
]

@description('The same for the environments that only look.')
output lookingClientIds string[] = [
  for (environment, i) in lookingEnvironments: '${environment}: ${lookers[i].outputs.clientId}'
]

@description('The same for the environments that only call the broker.')
output callingClientIds string[] = [
  for (environment, i) in callingEnvironments: '${environment}: ${callers[i].outputs.clientId}'
]
