metadata description = 'Your own host name for an app that no Front Door is in front of. Its DNS records come first.'

@description('Required. The app.')
param functionAppName string

@description('Required. The region.')
param location string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.Web/sites@2025-03-01'>.tags

@description('Required. The host name. A CNAME leads to the app, and a TXT record at `asuid.` before it proves whose it is.')
param domain string

resource functionApp 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppName

  // A certificate is only issued for a name that the app has. Later deployments leave the name its certificate.
  @onlyIfNotExists()
  resource plain 'hostNameBindings' = {
    name: domain
    properties: {
      customHostNameDnsRecordType: 'CName'
      hostNameType: 'Verified'
      sslState: 'Disabled'
    }
  }

  // Certificates of Flex Consumption belong to the app: https://github.com/MicrosoftDocs/azure-docs/pull/128469
  resource certificate 'certificates' = {
    name: replace(domain, '.', '-')
    location: location
    tags: tags
    properties: { canonicalName: domain }
    dependsOn: [plain]
  }
}

// A module, because a template may name a resource once.
module encrypted 'custom-domain-tls.bicep' = {
  params: {
    functionAppName: functionAppName
    domain: domain
    thumbprint: functionApp::certificate.properties.thumbprint
  }
}
