metadata description = 'One page in the portal that shows how a region does.'

@description('Required. The region.')
param location string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.Insights/workbooks@2023-06-01'>.tags

@description('Required. The workspace that the queries read.')
param workspaceName string

var parts = [
  { title: 'Sessions', query: loadTextContent('../workbook/sessions.kql') }
  { title: 'Outcomes', query: loadTextContent('../workbook/outcomes.kql') }
  { title: 'Latency in milliseconds', query: loadTextContent('../workbook/latency.kql') }
  { title: 'Refusals by reason', query: loadTextContent('../workbook/refusals.kql') }
  { title: 'Calls of Face a second, and 429s', query: loadTextContent('../workbook/face.kql') }
  { title: 'Seconds from outcome to event', query: loadTextContent('../workbook/event-delay.kql') }
  {
    title: 'Owed events, and how long their messages have waited'
    query: loadTextContent('../workbook/owed-events.kql')
  }
  { title: 'Attempts that did not pass, in percent', query: loadTextContent('../workbook/spoof-rate.kql') }
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

// The format of workbooks: https://github.com/microsoft/Application-Insights-Workbooks/tree/master/schema
resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'liveness-workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Liveness broker ${location}'
    category: 'workbook'
    sourceId: workspace.id
    version: 'Notebook/1.0'
    serializedData: string({
      version: 'Notebook/1.0'
      fallbackResourceIds: [workspace.id]
      items: concat(
        [
          {
            type: 9
            name: 'parameters'
            content: {
              version: 'KqlParameterItem/1.0'
              parameters: [
                {
                  version: 'KqlParameterItem/1.0'
                  name: 'TimeRange'
                  label: 'Time'
                  type: 4
                  value: { durationMs: 86400000 }
                  typeSettings: {
                    selectableValues: [
                      { durationMs: 3600000 }
                      { durationMs: 86400000 }
                      { durationMs: 604800000 }
                    ]
                  }
                }
              ]
            }
          }
        ],
        map(parts, part => {
          type: 3
          name: part.title
          content: {
            version: 'KqlItem/1.0'
            title: part.title
            query: part.query
            size: 0
            queryType: 0
            resourceType: 'microsoft.operationalinsights/workspaces'
            timeContextFromParameter: 'TimeRange'
          }
        })
      )
    })
  }
}
