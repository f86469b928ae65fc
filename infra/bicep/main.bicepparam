// For azd, which expects a file of this name: one small region, which is often deleted.
using 'main.bicep'

// The name of the azd environment: two to seven lower-case letters and digits.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'azd')
param owner = readEnvironmentVariable('BROKER_OWNER', 'unknown')

param regions = [
  {
    name: readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
    code: take(readEnvironmentVariable('AZURE_LOCATION', 'westeurope'), 5)
    faceSku: 'F0'
  }
]

param broker = {
  clientAuth: 'none'
  authTokenTtlMaxSeconds: 3600
}

param purgeProtection = false
param exampleSubscription = true
param azdServiceName = 'api'
