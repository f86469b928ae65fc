metadata description = 'One service, reached through a private address of a network, by its usual name.'

@description('Required. The name.')
param name string

@description('Required. The region.')
param location string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.Network/privateEndpoints@2025-01-01'>.tags

@description('Required. The network whose members find the service by name.')
param networkName string

@description('Required. The subnet that the address is taken from.')
param subnetName string

@description('Required. The resource that is reached.')
param targetResourceId string

@description('Required. The part of the resource, such as `blob`.')
param groupId string

@description('Required. The zone of its private names: https://learn.microsoft.com/azure/private-link/private-endpoint-dns')
param zoneName string

resource network 'Microsoft.Network/virtualNetworks@2025-01-01' existing = {
  name: networkName

  resource subnet 'subnets' existing = {
    name: subnetName
  }
}

resource privateEndpoint 'Microsoft.Network/privateEndpoints@2025-01-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: network::subnet.id }
    privateLinkServiceConnections: [
      {
        name: groupId
        properties: {
          privateLinkServiceId: targetResourceId
          groupIds: [groupId]
        }
      }
    ]
  }

  resource zoneGroup 'privateDnsZoneGroups' = {
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: groupId
          properties: { privateDnsZoneId: zone.id }
        }
      ]
    }
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: zoneName
  location: 'global'
  tags: tags

  resource link 'virtualNetworkLinks' = {
    name: networkName
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: network.id }
    }
  }
}
