metadata description = 'The logs of one region: a workspace, and Application Insights over it, both through Entra alone.'

@description('Required. The name of the workspace.')
param workspaceName string

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

@description('Required. Gigabytes a day after which no more logs are taken.')
@minValue(1)
param dailyQuotaGb int

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionInDays
    workspaceCapping: { dailyQuotaGb: dailyQuotaGb }
    features: { disableLocalAuth: true }
  }
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
    DisableIpMasking: false
  }
}

@description('Where the app sends its telemetry: no credential, for a component that takes Entra tokens alone.')
output connectionString string = applicationInsights.properties.ConnectionString
