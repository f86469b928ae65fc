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

// Nobody's registration by default, so that nobody gets in.
var nobody = '00000000-0000-0000-0000-000000000000'
var authClientId = readEnvironmentVariable('BROKER_AUTH_CLIENT_ID', '')
var authIssuer = readEnvironmentVariable('BROKER_AUTH_ISSUER', '')
param easyAuth = {
  clientId: empty(authClientId) ? nobody : authClientId
  openIdIssuer: empty(authIssuer) ? 'https://login.microsoftonline.com/${nobody}/v2.0' : authIssuer
  allowedAudiences: ['api://${empty(authClientId) ? nobody : authClientId}']
}

param frontDoor = { tier: 'Standard' }

param monitoring = {
  retentionInDays: 90
  dailyQuotaGb: 5
  alertEmails: filter(split(readEnvironmentVariable('BROKER_ALERT_EMAIL', ''), ','), email => !empty(email))
}

param isolated = true
