// Three regions behind Front Door, isolated. Each answers for its own sessions; the first is the ring that goes first.
using '../main.bicep'

param environmentName = 'prod'
param owner = readEnvironmentVariable('BROKER_OWNER', 'unknown')
param commit = readEnvironmentVariable('BROKER_COMMIT', '')

// The codes of the regions to deploy now, with commas between them: the pipeline goes from ring to ring.
param only = filter(split(readEnvironmentVariable('BROKER_REGIONS', ''), ','), code => !empty(code))

param regions = [
  { name: 'northeurope', code: 'neu', zoneRedundant: true, alwaysReadyInstances: 2, weight: 100 }
  { name: 'westeurope', code: 'weu', zoneRedundant: true, alwaysReadyInstances: 2 }
  { name: 'swedencentral', code: 'sec', zoneRedundant: true, alwaysReadyInstances: 2 }
]

param broker = {
  clientAuth: 'none'
  authTokenTtlMaxSeconds: 3600
}

// Without one of these a deployment would shut callers out, or tell nobody of alerts. Empty is what a pipeline makes of
// one that is missing.
var authClientId = readEnvironmentVariable('BROKER_AUTH_CLIENT_ID', '')
var authIssuer = readEnvironmentVariable('BROKER_AUTH_ISSUER', '')
var alertEmails = readEnvironmentVariable('BROKER_ALERT_EMAIL', '')

param easyAuth = {
  clientId: empty(authClientId) ? fail('set the environment variable BROKER_AUTH_CLIENT_ID') : authClientId
  openIdIssuer: empty(authIssuer) ? fail('set the environment variable BROKER_AUTH_ISSUER') : authIssuer
  // Tokens of version 2, which the issuer is that of, name the registration itself as their audience.
  allowedAudiences: [authClientId, 'api://${authClientId}']
}

param frontDoor = { tier: 'Standard', location: 'northeurope' }

param monitoring = {
  retentionInDays: 90
  dailyQuotaGb: 5
  alertEmails: empty(alertEmails)
    ? fail('set the environment variable BROKER_ALERT_EMAIL')
    : split(alertEmails, ',')
}

param isolated = true
