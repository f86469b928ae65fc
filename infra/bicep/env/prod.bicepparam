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

param easyAuth = {
  clientId: readEnvironmentVariable('BROKER_AUTH_CLIENT_ID', '00000000-0000-0000-0000-000000000000')
  openIdIssuer: readEnvironmentVariable(
    'BROKER_AUTH_ISSUER',
    'https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0'
  )
  allowedAudiences: [
    'api://${readEnvironmentVariable('BROKER_AUTH_CLIENT_ID', '00000000-0000-0000-0000-000000000000')}'
  ]
}

param frontDoor = { tier: 'Standard' }

param monitoring = {
  retentionInDays: 90
  dailyQuotaGb: 5
  alertEmails: [readEnvironmentVariable('BROKER_ALERT_EMAIL', 'liveness-operations@example.com')]
}

param isolated = true
