metadata description = 'The Face account of one region. Phones call it themselves, so that it cannot be private.'

@description('Required. The name, and the custom subdomain, which can never be changed.')
@minLength(2)
@maxLength(64)
param name string

@description('Required. The region.')
param location string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.CognitiveServices/accounts@2025-06-01'>.tags

@description('Required. The price tier.')
param sku ('F0' | 'S0')

@description('Required. Whether the account takes keys, or Entra tokens alone.')
param takesKeys bool

@description('Required. Whether to bring back a deleted account of this name instead of making a new one.')
param restore bool

resource face 'Microsoft.CognitiveServices/accounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'Face'
  sku: { name: sku }
  properties: {
    customSubDomainName: name
    disableLocalAuth: !takesKeys
    publicNetworkAccess: 'Enabled'
    networkAcls: { defaultAction: 'Allow' }
    restore: restore ? true : null
  }
}

@description('Where the app calls Face.')
output endpoint string = face.properties.endpoint
