metadata description = 'The identity that the app runs as. It comes before the app, so that all its roles do too.'

@description('Required. The name.')
param name string

@description('Required. The region.')
param location string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30'>.tags

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('The principal that roles are assigned to.')
output principalId string = identity.properties.principalId

@description('The id by which the app asks for tokens of this identity.')
output clientId string = identity.properties.clientId
