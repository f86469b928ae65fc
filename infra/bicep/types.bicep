metadata description = 'The types that the parameter files are written in.'

@export()
@description('One region: where it stands and how large it is.')
type regionType = {
  @description('Required. The Azure region, such as `westeurope`.')
  name: string

  @description('Required. Lower-case letters and digits that stand for the region in resource names, such as `weu`.')
  @minLength(2)
  @maxLength(5)
  code: string

  @description('Optional. Where Face stands. Only for regions without Face: biometric data then leaves the region.')
  faceLocation: string?

  @description('Optional. `S0` (default), or `F0`: one a subscription, 20 calls a minute.')
  faceSku: ('F0' | 'S0')?

  @description('Optional. By default `Standard_ZRS`, or `Standard_LRS` where the region has no zones. Never copied elsewhere.')
  storageSku: ('Standard_ZRS' | 'Standard_LRS')?

  @description('Optional. Instances for HTTP that are kept warm, and paid for. Default 0.')
  @minValue(0)
  @maxValue(1000)
  alwaysReadyInstances: int?

  @description('Optional. Spread over zones; keeps at least two always-ready instances, which are paid for. Default false.')
  zoneRedundant: bool?

  @description('Optional. Your own host name for this region, such as `weu.liveness.example.com`. See docs/deploy-more.md.')
  @minLength(4)
  domain: string?

  @description('Optional. What phones call where your own gateway is in front, such as `https://api.example.com/liveness`.')
  @minLength(10)
  publicBaseUrl: string?

  @description('Optional. The share of new sessions that Front Door sends here, 1 to 1000. Default 500.')
  @minValue(1)
  @maxValue(1000)
  weight: int?
}

@export()
@description('How the broker behaves: app settings, the same in every region. `shared/settings.py` says what each may hold.')
@sealed()
type brokerType = {
  @description('Required. `jwt` (callers sign in with bearer tokens) or `none` (anybody may call). There is no default.')
  clientAuth: ('jwt' | 'none')

  @description('Optional. The issuers whose tokens are accepted. With `jwt`: these, or `authSecretName`.')
  @minLength(1)
  authIssuer: string[]?

  @description('Optional. The audiences of which a token must have one. Required with `jwt`.')
  @minLength(1)
  authAudience: string[]?

  @description('Optional. A secret in the vault with which a backend signs tokens; the operator writes it.')
  @minLength(1)
  authSecretName: string?

  @description('Optional. Default `v1.1-preview.1`.')
  faceApiVersion: ('v1.1-preview.1' | 'v1.2' | 'v1.3-preview.1')?

  @description('Optional. `key` (default: from Key Vault) or `identity` (Entra token; the Face account then takes no keys).')
  faceAuth: ('key' | 'identity')?

  @description('Optional. Which of the two keys of the Face account the vault holds. Default `key1`; see docs/operations.md, "Rotating keys".')
  activeFaceKey: ('key1' | 'key2')?

  @description('Optional. Calls a second that one instance may make to Face at most. Default 6, and 0.3 with `F0`.')
  @minValue(1)
  @maxValue(1000)
  faceMaxTps: int?

  @description('Optional. The longest token lifetime a phone may ask for. Default 86400.')
  @minValue(60)
  @maxValue(86400)
  authTokenTtlMaxSeconds: int?

  @description('Optional. `decision` (default), or `status` to keep decisions from phones.')
  resultVisibility: ('decision' | 'status')?

  @description('Optional. `token` (default where callers sign in) or `caller`: who names the transaction of a check.')
  clientReference: ('token' | 'caller')?

  @description('Optional. Whether a check passes only with the digest that the phone computed. Default false.')
  requireDigest: bool?

  @description('Optional. Whether no check passes in which Face detected abuse. Default true.')
  abuseIsFailure: bool?

  @description('Optional. Whether phones may ask Face for the decision itself. Default false.')
  allowResultsToClient: bool?

  @description('Optional. Days that session records are kept. Default 30.')
  @minValue(2)
  @maxValue(3650)
  recordRetentionDays: int?

  @description('Optional. Whether a session is deleted at Face once its event is published. Default true.')
  deleteAfterResult: bool?

  @description('Optional. Limits per device. Default `5/10m, 20/d`; `off` for none, as for the next ones.')
  throttleDevice: string?

  @description('Optional. Checks per device that did not pass, before no session is made. Default `5/30m`.')
  throttleFailures: string?

  @description('Optional. Limits per authenticated caller. Default `10/10m`.')
  throttlePrincipal: string?

  @description('Optional. Limits per client address. Default `60/10m`.')
  throttleClient: string?

  @description('Optional. Requests with an unknown session or a wrong token per client address. Default `60/10m`.')
  throttleMisses: string?

  @description('Optional. Limits per transaction, where callers sign in. Default `5/d`.')
  throttleReference: string?

  @description('Optional. Other limits for a client id or issuer: `CLIENT-ID principal 600/10m; https://issuer.example client off`.')
  throttleOverrides: string?

  @description('Optional. Limits of upstream reads per session. Default `1/s`.')
  throttleResult: string?

  @description('Optional. `enforce` (default), or `observe`: limits count and log, and refuse nothing.')
  throttleMode: ('enforce' | 'observe')?

  @description('Optional. The origins of web pages that may call, such as `https://app.example.com`. None by default.')
  @minLength(1)
  allowedOrigins: string[]?
}

@export()
@description('Easy Auth in front of the app: the platform refuses tokens of other issuers and audiences than the app accepts.')
type easyAuthType = {
  @description('Required. The client id of the app registration.')
  clientId: string

  @description('Required. The client ids of the applications whose tokens are accepted.')
  @minLength(1)
  allowedApplications: string[]
}

@export()
@description('Front Door with its firewall, in front of all regions.')
type frontDoorType = {
  @description('Required. `Premium` adds the managed rule sets.')
  tier: 'Standard' | 'Premium'

  @description('Required. The region that keeps its resource group. Not to be changed, whichever regions come and go.')
  location: string

  @description('Optional. Your own host name for new sessions, such as `liveness.example.com`.')
  @minLength(4)
  domain: string?

  @description('Optional. Requests a minute that one address may make before the firewall refuses it. Default 300.')
  @minValue(10)
  rateLimitPerMinute: int?
}

@export()
@description('Where a region writes its logs, how long it keeps them, how much of them, and whom alerts reach.')
type monitoringType = {
  @description('Optional. Days that logs are kept. Default 30.')
  @minValue(30)
  @maxValue(730)
  retentionInDays: int?

  @description('Optional. Gigabytes a day after which no more logs are taken. Default 1.')
  @minValue(1)
  dailyQuotaGb: int?

  @description('Optional. Addresses that alerts are mailed to; without any, alerts show in the portal alone, and nothing probes the app.')
  alertEmails: string[]?

  @description('Optional. A mail to `alertEmails` before a region costs more than that. None by default.')
  budget: budgetType?
}

@export()
@description('What a region may cost in a month.')
type budgetType = {
  @description('Required. In the currency of the subscription.')
  @minValue(1)
  amount: int

  @description('Required. The first day of the month of the first deployment, such as `2026-12-01`. Not to be changed.')
  @minLength(10)
  @maxLength(10)
  from: string
}

@export()
@description('What every resource of one region is called.')
type stampNamesType = {
  @description('The resource group.')
  resourceGroup: string
  @description('The identity of the app.')
  identity: string
  @description('The Log Analytics workspace.')
  workspace: string
  @description('The workspace that logs who accessed secrets, records and messages.')
  auditWorkspace: string
  @description('The Application Insights component.')
  applicationInsights: string
  @description('The group of people who hear of alerts.')
  actionGroup: string
  @description('The storage account.')
  storageAccount: string
  @description('The vault.')
  keyVault: string
  @description('The Face account, and its custom subdomain.')
  face: string
  @description('The Event Grid topic.')
  topic: string
  @description('The virtual network, where the region is isolated.')
  network: string
  @description('The Flex Consumption plan.')
  plan: string
  @description('The function app.')
  functionApp: string
}
