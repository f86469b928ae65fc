metadata description = 'What wakes somebody up: one query over the logs for each, which answers rows when something is wrong.'

@description('Required. The region.')
param location string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.Insights/scheduledQueryRules@2026-03-01'>.tags

@description('Required. The workspace.')
param workspaceName string

@description('Required. The topic.')
param topicName string

@description('Required. The name of the group of people who hear of alerts.')
param actionGroupName string

@description('Required. Their addresses.')
param emails string[]

// Severity 1 needs an operator now, severity 2 today.
var queries = [
  {
    name: 'poison-queue'
    title: 'Messages are in the poison queue'
    severity: 1
    minutes: 15
    lookBack: 'P1D'
    // An operator closes it when the messages are replayed or dropped.
    endsWithItsCause: false
    query: loadTextContent('../alerts/poison-queue.kql')
  }
  {
    name: 'logs-capped'
    title: 'The daily cap of the logs is reached: other alerts are blind'
    severity: 1
    minutes: 15
    lookBack: null
    // An operator closes it when the cause is known: the next day the workspace accepts logs again.
    endsWithItsCause: false
    query: loadTextContent('../alerts/logs-capped.kql')
  }
  {
    name: 'upstream-quota'
    title: 'The call volume of Face is used up'
    severity: 1
    minutes: 15
    lookBack: null
    endsWithItsCause: true
    query: loadTextContent('../alerts/upstream-quota.kql')
  }
  {
    name: 'key-unavailable'
    title: 'A secret cannot be fetched'
    severity: 1
    minutes: 15
    lookBack: null
    endsWithItsCause: true
    query: loadTextContent('../alerts/key-unavailable.kql')
  }
  {
    name: 'server-errors'
    title: 'Many answers are server errors'
    severity: 1
    minutes: 15
    lookBack: null
    endsWithItsCause: true
    query: loadTextContent('../alerts/server-errors.kql')
  }
  {
    name: 'throttling'
    title: 'More creates than usual are refused'
    severity: 2
    minutes: 30
    lookBack: 'P2D'
    endsWithItsCause: true
    query: loadTextContent('../alerts/throttling.kql')
  }
  {
    name: 'events-unavailable'
    title: 'The topic takes no events'
    severity: 1
    minutes: 15
    lookBack: 'PT1H'
    endsWithItsCause: true
    query: loadTextContent('../alerts/events-unavailable.kql')
  }
  {
    name: 'no-events'
    title: 'Sessions ended without an event'
    severity: 1
    minutes: 15
    lookBack: 'P2D'
    endsWithItsCause: true
    query: loadTextContent('../alerts/no-events.kql')
  }
  {
    name: 'record-mac-mismatch'
    title: 'The record of a session was changed by somebody else'
    severity: 1
    minutes: 15
    lookBack: null
    // An operator closes it when it is known who did it: the record may not be read again.
    endsWithItsCause: false
    query: loadTextContent('../alerts/record-mac-mismatch.kql')
  }
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName
}

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'liveness'
    enabled: true
    emailReceivers: [
      for (email, i) in emails: {
        name: 'email-${i}'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource rule 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for query in queries: {
    name: query.name
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: query.title
      description: 'docs/deploy.md says what to do.'
      severity: query.severity
      enabled: true
      scopes: [workspace.id]
      evaluationFrequency: 'PT${query.minutes}M'
      windowSize: 'PT${query.minutes}M'
      overrideQueryTimeRange: query.lookBack
      criteria: {
        allOf: [
          {
            query: query.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
          }
        ]
      }
      autoMitigate: query.endsWithItsCause
      // A table of logs exists only after its first line has arrived.
      skipQueryValidation: true
      actions: { actionGroups: [actionGroup.id] }
    }
  }
]

resource deadLetters 'Microsoft.Insights/metricAlerts@2026-01-01' = {
  name: 'dead-letters'
  location: 'global'
  tags: tags
  properties: {
    description: 'Events could not be delivered to a subscriber. docs/deploy.md says what to do.'
    severity: 1
    enabled: true
    scopes: [topic.id]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'dead-lettered'
          metricName: 'DeadLetteredCount'
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    actions: [{ actionGroupId: actionGroup.id }]
  }
}
