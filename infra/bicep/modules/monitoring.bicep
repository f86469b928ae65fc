metadata description = 'The logs of one region: two workspaces, and Application Insights over one, all through Entra alone.'

@description('Required. The name of the workspace.')
param workspaceName string

@description('Required. The name of the workspace for who touched secrets, records and messages.')
param auditWorkspaceName string

@description('Required. The name of the Application Insights component.')
param applicationInsightsName string

@description('Required. The region.')
param location string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.OperationalInsights/workspaces@2025-07-01'>.tags

@description('Required. Days that logs are kept.')
@minValue(30)
@maxValue(730)
param retentionInDays int

@description('Required. Gigabytes a day after which a workspace takes no more logs.')
@minValue(1)
param dailyQuotaGb int

// Two, so that a flood of requests does not use up the daily cap of the lines that tell who changed a record.
resource workspaces 'Microsoft.OperationalInsights/workspaces@2025-07-01' = [
  for name in [workspaceName, auditWorkspaceName]: {
    name: name
    location: location
    tags: tags
    properties: {
      sku: { name: 'PerGB2018' }
      retentionInDays: retentionInDays
      workspaceCapping: { dailyQuotaGb: dailyQuotaGb }
      features: { disableLocalAuth: true }
    }
  }
]

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspaces[0].id
    DisableLocalAuth: true
    DisableIpMasking: false
  }
}

@description('Where the app sends its telemetry: no credential, for a component that takes Entra tokens alone.')
output connectionString string = applicationInsights.properties.ConnectionString
