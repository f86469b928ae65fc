// For azd, which expects a file of this name: one small region, which is often deleted.
using 'main.bicep'

// The name of the azd environment: two to ten lower-case letters and digits.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'azd')
param owner = readEnvironmentVariable('BROKER_OWNER', 'unknown')

var location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')

param regions = [
  {
    name: location
    code: regionCodes[?location] ?? fail('AZURE_LOCATION is "${location}", which is not the name of a region with Face, such as westeurope')
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

// The regions with Face. Each has another code, so that neighbouring regions get different names.
var regionCodes = {
  australiaeast: 'aue'
  brazilsouth: 'brs'
  canadacentral: 'cac'
  centralindia: 'inc'
  centralus: 'cus'
  eastasia: 'eas'
  eastus: 'eus'
  eastus2: 'eus2'
  francecentral: 'frc'
  germanywestcentral: 'gwc'
  italynorth: 'itn'
  japaneast: 'jpe'
  japanwest: 'jpw'
  jioindiawest: 'jiw'
  koreacentral: 'krc'
  northcentralus: 'ncus'
  northeurope: 'neu'
  norwayeast: 'noe'
  qatarcentral: 'qac'
  southafricanorth: 'san'
  southcentralus: 'scus'
  southeastasia: 'sea'
  swedencentral: 'sec'
  switzerlandnorth: 'swn'
  switzerlandwest: 'sww'
  uaenorth: 'uan'
  uksouth: 'uks'
  westcentralus: 'wcus'
  westeurope: 'weu'
  westus: 'wus'
  westus2: 'wus2'
  westus3: 'wus3'
}
