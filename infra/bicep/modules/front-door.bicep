metadata description = 'Front Door before its regions are there: its id, which they ask for, and the names that phones call.'

@description('Required. The name.')
param name string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.Cdn/profiles@2025-06-01'>.tags

@description('Required. The tier.')
param tier ('Standard' | 'Premium')

@description('Required. The name of the endpoint for new sessions, which any region may answer.')
param sharedEndpointName string

@description('Required. The names of the endpoints of the regions, each for the sessions that it made.')
param regionEndpointNames string[]

@description('Required. The custom domains of all endpoints.')
param domains string[]

resource profile 'Microsoft.Cdn/profiles@2025-06-01' = {
  name: name
  location: 'global'
  tags: tags
  sku: { name: '${tier}_AzureFrontDoor' }
  properties: {
    originResponseTimeoutSeconds: 30
    // These logs leave the region, so they must not hold session ids or addresses.
    logScrubbing: {
      state: 'Enabled'
      scrubbingRules: [
        { matchVariable: 'RequestIPAddress', selectorMatchOperator: 'EqualsAny', state: 'Enabled' }
        { matchVariable: 'RequestUri', selectorMatchOperator: 'EqualsAny', state: 'Enabled' }
        { matchVariable: 'QueryStringArgNames', selectorMatchOperator: 'EqualsAny', state: 'Enabled' }
      ]
    }
  }
}

resource sharedEndpoint 'Microsoft.Cdn/profiles/afdEndpoints@2025-06-01' = {
  parent: profile
  name: sharedEndpointName
  location: 'global'
  tags: tags
  properties: { enabledState: 'Enabled' }
}

resource regionEndpoint 'Microsoft.Cdn/profiles/afdEndpoints@2025-06-01' = [
  for endpointName in regionEndpointNames: {
    parent: profile
    name: endpointName
    location: 'global'
    tags: tags
    properties: { enabledState: 'Enabled' }
  }
]

// Azure issues the certificate as soon as a TXT record proves whose domain it is, and renews it while a CNAME leads here.
resource customDomain 'Microsoft.Cdn/profiles/customDomains@2025-06-01' = [
  for domain in domains: {
    parent: profile
    name: replace(domain, '.', '-')
    properties: {
      hostName: domain
      tlsSettings: { certificateType: 'ManagedCertificate', minimumTlsVersion: 'TLS12' }
    }
  }
]

@description('What Front Door says of itself in the header X-Azure-FDID.')
output frontDoorId string = profile.properties.frontDoorId

@description('The host name for new sessions.')
output sharedHostName string = sharedEndpoint.properties.hostName

@description('The host names of the regions, in the order that they were given in.')
output regionHostNames string[] = [
  for (endpointName, i) in regionEndpointNames: regionEndpoint[i].properties.hostName
]

@description('The TXT record that proves whose each custom domain is.')
output domains { txtRecord: string, value: string }[] = [
  for (domain, i) in domains: {
    txtRecord: '_dnsauth.${domain}'
    value: customDomain[i].properties.validationProperties.validationToken
  }
]
