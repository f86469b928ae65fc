metadata description = 'The broker in one or more regions of a subscription, and Front Door before them where that is wanted.'

targetScope = 'subscription'

import { brokerType, easyAuthType, frontDoorType, monitoringType, regionType } from 'types.bicep'
import {
  faultsOfBudget
  faultsOfDomain
  faultsOfDomains
  faultsOfRanges
  faultsOfRegions
  faultsOfSignIn
} from 'checks.bicep'
import { stampNames } from 'names.bicep'

@description('Required. The environment, such as `dev`: two to ten lower-case letters and digits, part of every name.')
param environmentName string

@description('Required. The regions.')
@minLength(1)
param regions regionType[]

@description('Optional. The codes of the regions to deploy now; all by default. Those left out stay as they are.')
param only string[] = []

@description('Required. Who answers for these resources.')
param owner string

@description('Optional. Part of the hash in names: another one escapes names that deleted resources still hold.')
param nameSalt string = ''

@description('Required. How the broker behaves.')
param broker brokerType

@description('Optional. Easy Auth in front of the apps. None by default.')
param easyAuth easyAuthType?

@description('Optional. The address ranges that packages may be published from, such as `192.0.2.7/32`. All by default; `[]` for none.')
param publishFrom string[]?

@description('Optional. Front Door in front of the regions. None by default.')
param frontDoor frontDoorType?

@description('Optional. Logs and alerts.')
param monitoring monitoringType = {}

@description('Optional. Whether storage, vault and topics are reached through private endpoints alone. Default false.')
param isolated bool = false

@description('Optional. Whether vaults cannot be purged before their time. Only for throw-away environments false.')
param purgeProtection bool = true

@description('Optional. Whether to bring back deleted Face accounts of the same names. Default false.')
param restoreFace bool = false

@description('Optional. Whether to make the example of a subscription to the results. Default false.')
param exampleSubscription bool = false

@description('Optional. The Python version of the apps. Default 3.13.')
param pythonVersion ('3.11' | '3.12' | '3.13') = '3.13'

@description('Optional. The service of azure.yaml that azd deploys; with azd there is one region.')
param azdServiceName string = ''

var codes = map(regions, region => region.code)
var unknown = filter(only, code => !contains(codes, code))
var faults = concat(
  faultsOfRegions(environmentName, regions),
  faultsOfDomain(frontDoor.?domain),
  faultsOfDomains(filter(concat([frontDoor.?domain ?? ''], regionDomains), domain => !empty(domain))),
  faultsOfRanges(publishFrom ?? []),
  faultsOfSignIn(broker, easyAuth),
  faultsOfBudget(monitoring.?budget),
  empty(unknown) ? [] : ['there is no region ${join(unknown, ', ')}, but ${join(codes, ', ')}']
)
var chosen = empty(faults)
  ? filter(regions, region => empty(only) || contains(only, region.code))
  : fail(join(faults, '; '))
var tags = {
  application: 'face-liveness-broker'
  environment: environmentName
  owner: owner
  'data-class': 'biometric'
}
var frontDoorNames = {
  resourceGroup: 'rg-liveness-${environmentName}-global'
  profile: 'afd-liveness-${environmentName}'
  firewall: 'waf${environmentName}${uniqueString(subscription().subscriptionId, environmentName, nameSalt)}'
  endpoint: 'liveness-${environmentName}'
}

// Of all regions, deployed now or not.
var regionDomains = map(regions, region => region.?domain ?? '')
var regionEndpointNames = map(codes, code => '${frontDoorNames.endpoint}-${code}')

resource resourceGroups 'Microsoft.Resources/resourceGroups@2025-04-01' = [
  for region in chosen: {
    name: stampNames(subscription().subscriptionId, environmentName, region.code, nameSalt).resourceGroup
    location: region.name
    tags: union(
      tags,
      { region: region.name },
      empty(azdServiceName) ? {} : { 'azd-env-name': environmentName }
    )
  }
]

// Front Door is global. The region of this resource group is where Azure keeps the metadata of the group.
resource globalResourceGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = if (frontDoor != null) {
  name: frontDoorNames.resourceGroup
  location: frontDoor!.location
  tags: tags
}

// Front Door comes first, because the apps accept calls only from its id.
module profile 'modules/front-door.bicep' = if (frontDoor != null) {
  scope: globalResourceGroup
  params: {
    name: frontDoorNames.profile
    tags: tags
    tier: frontDoor!.tier
    sharedEndpointName: frontDoorNames.endpoint
    regionEndpointNames: regionEndpointNames
    domains: filter(concat([frontDoor!.?domain ?? ''], regionDomains), domain => !empty(domain))
  }
}

module stamps 'region.bicep' = [
  for (region, i) in chosen: {
    scope: resourceGroups[i]
    params: {
      environmentName: environmentName
      region: region
      tags: union(tags, { region: region.name })
      nameSalt: nameSalt
      pythonVersion: pythonVersion
      broker: broker
      easyAuth: easyAuth
      publishFrom: publishFrom
      monitoring: monitoring
      isolated: isolated
      purgeProtection: purgeProtection
      restoreFace: restoreFace
      exampleSubscription: exampleSubscription
      azdServiceName: azdServiceName
      behindFrontDoor: frontDoor != null
      frontDoorId: frontDoor == null ? '' : profile!.outputs.frontDoorId
      frontDoorHostName: frontDoor == null
        ? ''
        : profile!.outputs.regionHostNames[indexOf(codes, region.code)]
    }
  }
]

module global 'global.bicep' = if (frontDoor != null) {
  scope: globalResourceGroup
  params: {
    profileName: frontDoorNames.profile
    tags: tags
    tier: frontDoor!.tier
    firewallName: frontDoorNames.firewall
    rateLimitPerMinute: frontDoor!.?rateLimitPerMinute ?? 300
    sharedEndpointName: frontDoorNames.endpoint
    regionEndpointNames: regionEndpointNames
    sharedDomain: frontDoor!.?domain ?? ''
    regionDomains: regionDomains
    actionGroupName: 'ag-liveness-${environmentName}-global'
    emails: monitoring.?alertEmails ?? []
    regions: [
      for (region, i) in chosen: {
        code: region.code
        endpointName: '${frontDoorNames.endpoint}-${region.code}'
        hostName: stamps[i].outputs.hostName
        domain: region.?domain ?? ''
        weight: region.?weight ?? 500
      }
    ]
  }
}

@description('What was deployed where, and what phones call.')
output stamps stampType[] = [
  for (region, i) in chosen: {
    region: region.name
    code: region.code
    resourceGroup: resourceGroups[i].name
    functionAppName: stamps[i].outputs.functionAppName
    hostName: frontDoor == null
      ? stamps[i].outputs.hostName
      : profile!.outputs.regionHostNames[indexOf(codes, region.code)]
    domainVerificationId: stamps[i].outputs.domainVerificationId
  }
]

@description('What TXT records prove that the domains of Front Door are yours; empty without any.')
output domains domainType[] = frontDoor == null ? [] : profile!.outputs.domains

@description('Where the first of these regions answers. azd hands outputs to its hooks as variables of the same names.')
output BROKER_URL string = 'https://${frontDoor == null ? stamps[0].outputs.hostName : profile!.outputs.regionHostNames[indexOf(codes, chosen[0].code)]}'

@description('The resource group and the function app of the first of these regions, for the hooks of azd.')
output BROKER_RESOURCE_GROUP string = resourceGroups[0].name
output BROKER_FUNCTION_APP string = stamps[0].outputs.functionAppName

@description('What phones call for new sessions where Front Door is used; empty otherwise.')
output sharedHostName string = frontDoor == null ? '' : profile!.outputs.sharedHostName

type stampType = {
  region: string
  code: string
  resourceGroup: string
  functionAppName: string
  hostName: string
  domainVerificationId: string
}

type domainType = {
  txtRecord: string
  value: string
}
