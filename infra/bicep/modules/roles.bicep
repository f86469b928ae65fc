metadata description = 'Who may do what in one region. The names hold the principal: a new identity gets new assignments.'

import { roleIds } from '../role-ids.bicep'

@description('Required. The principal of the app.')
param appPrincipalId string

@description('Required. The principal of the topic.')
param topicPrincipalId string

@description('Required. The storage account.')
param storageAccountName string

@description('Required. The vault.')
param keyVaultName string

@description('Required. The Face account.')
param faceName string

@description('Required. Whether the app calls Face as itself rather than with a key.')
param callsFaceAsItself bool

@description('Required. The topic.')
param topicName string

@description('Required. The Application Insights component.')
param applicationInsightsName string

// Of the whole account, as the host's page asks: it creates containers for its state, and tables for diagnostic events.
// https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
var appAccountRoles = [
  roleIds.storageBlobDataOwner
  roleIds.storageTableDataContributor
]
// The queue trigger updates and moves messages, which a reader may not do. The app has no right to the queue of events.
var appQueues = ['liveness-results', 'liveness-results-poison']

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource deadLetters 'containers' existing = {
      name: 'dead-letters'
    }
  }

  resource queues 'queueServices' existing = {
    name: 'default'

    resource events 'queues' existing = {
      name: 'liveness-events'
    }
  }
}

resource keyVault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: keyVaultName
}

resource face 'Microsoft.CognitiveServices/accounts@2025-06-01' existing = {
  name: faceName
}

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' existing = [
  for name in appQueues: {
    parent: account::queues
    name: name
  }
]

resource queue_app 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (name, i) in appQueues: {
    name: guid(queue[i].id, appPrincipalId, roleIds.storageQueueDataContributor)
    scope: queue[i]
    properties: {
      principalId: appPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleIds.storageQueueDataContributor
      )
    }
  }
]

resource account_app 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in appAccountRoles: {
    name: guid(account.id, appPrincipalId, role)
    scope: account
    properties: {
      principalId: appPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

resource keyVault_app 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(keyVault.id, appPrincipalId, roleIds.keyVaultSecretsUser)
  scope: keyVault
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleIds.keyVaultSecretsUser
    )
  }
}

resource face_app 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (callsFaceAsItself) {
  name: guid(face.id, appPrincipalId, roleIds.cognitiveServicesUser)
  scope: face
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleIds.cognitiveServicesUser
    )
  }
}

resource topic_app 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(topic.id, appPrincipalId, roleIds.eventGridDataSender)
  scope: topic
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleIds.eventGridDataSender
    )
  }
}

resource applicationInsights_app 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(applicationInsights.id, appPrincipalId, roleIds.monitoringMetricsPublisher)
  scope: applicationInsights
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleIds.monitoringMetricsPublisher
    )
  }
}

resource deadLetters_topic 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::blobs::deadLetters.id, topicPrincipalId, roleIds.storageBlobDataContributor)
  scope: account::blobs::deadLetters
  properties: {
    principalId: topicPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleIds.storageBlobDataContributor
    )
  }
}

resource events_topic 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::queues::events.id, topicPrincipalId, roleIds.storageQueueDataMessageSender)
  scope: account::queues::events
  properties: {
    principalId: topicPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleIds.storageQueueDataMessageSender
    )
  }
}
