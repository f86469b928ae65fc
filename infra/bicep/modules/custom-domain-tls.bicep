metadata description = 'Gives the host name of an app its certificate.'

@description('Required. The app.')
param functionAppName string

@description('Required. The host name.')
param domain string

@description('Required. The certificate.')
param thumbprint string

resource functionApp 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppName

  resource binding 'hostNameBindings' = {
    name: domain
    properties: {
      customHostNameDnsRecordType: 'CName'
      hostNameType: 'Verified'
      sslState: 'SniEnabled'
      thumbprint: thumbprint
    }
  }
}
