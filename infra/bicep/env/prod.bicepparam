// Three isolated regions behind Front Door. Each serves its own sessions; the first is deployed first.
using '../main.bicep'

param environmentName = 'prod'
param owner = readEnvironmentVariable('BROKER_OWNER', 'unknown')

// The codes of the regions to deploy now, with commas between them. The pipeline deploys ring by ring.
param only = filter(split(readEnvironmentVariable('BROKER_REGIONS', ''), ','), code => !empty(code))

param regions = [
  { name: 'northeurope', code: 'neu', zoneRedundant: true, alwaysReadyInstances: 2, weight: 100 }
  { name: 'westeurope', code: 'weu', zoneRedundant: true, alwaysReadyInstances: 2 }
  { name: 'swedencentral', code: 'sec', zoneRedundant: true, alwaysReadyInstances: 2 }
]

// Without one of these a deployment would shut out callers, or send no alerts. A pipeline sets a missing variable to an
// empty text.
var authClientId = readEnvironmentVariable('BROKER_AUTH_CLIENT_ID', '')
var authIssuer = readEnvironmentVariable('BROKER_AUTH_ISSUER', '')
var alertEmails = readEnvironmentVariable('BROKER_ALERT_EMAIL', '')

param broker = {
  clientAuth: 'jwt'
  authIssuer: [empty(authIssuer) ? fail('set the environment variable BROKER_AUTH_ISSUER') : authIssuer]
  // Tokens of version 2 have the registration itself as their audience, and those of version 1 its identifier URI.
  authAudience: empty(authClientId)
    ? fail('set the environment variable BROKER_AUTH_CLIENT_ID')
    : [authClientId, 'api://${authClientId}']
  // A phone can loop at Face for as long as its token lives, and take the rate of others.
  authTokenTtlMaxSeconds: 600
  // A pass is of this phone's check: the SDK's digest has to come with it.
  requireDigest: true
  // Generally available, and the phone cannot try until it passes: only servers and events learn the decision.
  faceApiVersion: 'v1.2'
  resultVisibility: 'status'
}

// Nobody: the pipeline opens the way for its own address, and closes it again. See docs/deploy-more.md, "Publishing to
// production by hand".
param publishFrom = []

param frontDoor = { tier: 'Standard', location: 'northeurope' }

param monitoring = {
  retentionInDays: 90
  dailyQuotaGb: 5
  alertEmails: empty(alertEmails)
    ? fail('set the environment variable BROKER_ALERT_EMAIL')
    : split(alertEmails, ',')
}

param isolated = true
