metadata description = 'What things are called: the abbreviations of the Cloud Adoption Framework, and one token per stamp.'

import { stampNamesType } from 'types.bicep'

@export()
@description('The names of one region. The salt escapes names that a deleted vault or Face account still holds.')
func stampNames(subscriptionId string, environmentName string, code string, nameSalt string) stampNamesType =>
  namesOf('${environmentName}-${code}', code, uniqueString(subscriptionId, environmentName, code, nameSalt))

@description('Limits: storage account 24 of letters and digits, vault 24, function app 32 (its name is the host id).')
func namesOf(stamp string, code string, token string) stampNamesType => {
  resourceGroup: 'rg-liveness-${stamp}'
  identity: 'id-liveness-${stamp}'
  workspace: 'log-liveness-${stamp}'
  auditWorkspace: 'log-audit-${stamp}'
  applicationInsights: 'appi-liveness-${stamp}'
  actionGroup: 'ag-liveness-${stamp}'
  storageAccount: 'st${code}${token}'
  keyVault: 'kv-${code}-${token}'
  face: 'face-${code}-${token}'
  topic: 'evgt-liveness-${stamp}-${token}'
  network: 'vnet-liveness-${stamp}'
  plan: 'asp-liveness-${stamp}'
  functionApp: 'func-${stamp}-${take(token, 10)}'
}
