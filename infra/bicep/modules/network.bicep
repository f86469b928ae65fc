metadata description = 'A network for one region: the app in one subnet, private endpoints of what it needs in another.'

@description('Required. The name.')
param name string

@description('Required. The region.')
param location string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.Network/virtualNetworks@2025-01-01'>.tags

@description('Required. The storage account.')
param storageAccountName string

@description('Required. The vault.')
param keyVaultName string

@description('Required. The topic.')
param topicName string

var accountId = resourceId('Microsoft.Storage/storageAccounts', storageAccountName)
// The clouds of Azure by `environment().name`, which says nothing about Event Grid.
var domainOfEventGrid = environment().name == 'AzureUSGovernment'
  ? 'azure.us'
  : environment().name == 'AzureChinaCloud' ? 'azure.cn' : 'azure.net'
var targets = [
  { groupId: 'blob', resourceId: accountId, zone: 'privatelink.blob.${environment().suffixes.storage}' }
  { groupId: 'queue', resourceId: accountId, zone: 'privatelink.queue.${environment().suffixes.storage}' }
  { groupId: 'table', resourceId: accountId, zone: 'privatelink.table.${environment().suffixes.storage}' }
  {
    groupId: 'vault'
    resourceId: resourceId('Microsoft.KeyVault/vaults', keyVaultName)
    zone: 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
  }
  {
    groupId: 'topic'
    resourceId: resourceId('Microsoft.EventGrid/topics', topicName)
    zone: 'privatelink.eventgrid.${domainOfEventGrid}'
  }
]

// The names of issuers are the operator's choice, so HTTPS is open to every address. DNS of Azure needs no rule.
resource outbound 'Microsoft.Network/networkSecurityGroups@2025-01-01' = {
  name: 'nsg-${name}-app'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'https'
        properties: {
          direction: 'Outbound'
          priority: 100
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '443'
        }
      }
      {
        name: 'nothing-else'
        properties: {
          direction: 'Outbound'
          priority: 4096
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2025-01-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: ['10.0.0.0/24'] }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: '10.0.0.0/26'
          networkSecurityGroup: { id: outbound.id }
          // The app reaches Face, Entra and telemetry from here, through an address of Azure. The default of this property
          // is changing to false.
          defaultOutboundAccess: true
          delegations: [
            {
              name: 'flex-consumption'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'private-endpoints'
        properties: {
          addressPrefix: '10.0.0.64/26'
          defaultOutboundAccess: false
        }
      }
    ]
  }

  resource app 'subnets' existing = {
    name: 'app'
  }
}

// One after another: a storage account accepts one change of its connections at a time, and answers 409 to others.
@batchSize(1)
module privateEndpoints 'private-endpoint.bicep' = [
  for target in targets: {
    params: {
      name: 'pep-${name}-${target.groupId}'
      location: location
      tags: tags
      networkName: network.name
      subnetName: 'private-endpoints'
      targetResourceId: target.resourceId
      groupId: target.groupId
      zoneName: target.zone
    }
  }
]

@description('The subnet of the app.')
output appSubnetResourceId string = network::app.id
