metadata description = 'The topic that the results of one region are published to, as CloudEvents.'

@description('Required. The name.')
@minLength(3)
@maxLength(50)
param name string

@description('Required. The region.')
param location string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.EventGrid/topics@2025-02-15'>.tags

@description('Required. Whether only private endpoints reach it.')
param isolated bool

@description('Required. The workspace that failures and counts are logged to.')
param workspaceName string

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

resource topic 'Microsoft.EventGrid/topics@2025-02-15' = {
  name: name
  location: location
  tags: tags
  // The storage firewall trusts a system-assigned identity alone.
  identity: { type: 'SystemAssigned' }
  properties: {
    inputSchema: 'CloudEventSchemaV1_0'
    dataResidencyBoundary: 'WithinRegion'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
    publicNetworkAccess: isolated ? 'Disabled' : 'Enabled'
  }
}

// The one stable version is of 2016.
#disable-next-line use-recent-api-versions
resource topicLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'workspace'
  scope: topic
  properties: {
    workspaceId: workspace.id
    logs: [
      { category: 'DeliveryFailures', enabled: true }
      { category: 'PublishFailures', enabled: true }
    ]
    metrics: [
      { category: 'AllMetrics', enabled: true }
    ]
  }
}

@description('Where the app publishes.')
output endpoint string = topic.properties.endpoint

@description('The identity that delivers events and keeps dead letters.')
output principalId string = topic.identity.principalId
