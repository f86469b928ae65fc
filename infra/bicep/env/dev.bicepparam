// One small region, which is often deleted: the vault can be purged, and events go to a queue to look at.
using '../main.bicep'

param environmentName = 'dev'
param owner = readEnvironmentVariable('BROKER_OWNER', 'unknown')

param regions = [
  { name: 'westeurope', code: 'weu', faceSku: 'F0' }
]

param broker = {
  clientAuth: 'none'
  authTokenTtlMaxSeconds: 600
}

param purgeProtection = false
param exampleSubscription = true
