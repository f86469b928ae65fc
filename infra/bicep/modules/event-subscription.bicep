metadata description = 'An example of a subscription: the events of sessions go to a queue, undeliverable ones to a container.'

@description('Required. The topic.')
param topicName string

@description('Required. The storage account with the queue and the container.')
param storageAccountName string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName

  // Event Grid checks the roles of the identity, which can take minutes to reach the storage account.
  @retryOn(['ResourceDeploymentFailure', 'Managed Identity Authorization Error'], 5)
  resource subscription 'eventSubscriptions' = {
    name: 'results-to-queue'
    properties: {
      eventDeliverySchema: 'CloudEventSchemaV1_0'
      filter: {
        includedEventTypes: [
          'liveness.session.completed'
          'liveness.session.expired'
          'liveness.session.erased'
        ]
      }
      retryPolicy: {
        maxDeliveryAttempts: 30
        eventTimeToLiveInMinutes: 1440
      }
      deliveryWithResourceIdentity: {
        identity: { type: 'SystemAssigned' }
        destination: {
          endpointType: 'StorageQueue'
          properties: {
            resourceId: account.id
            queueName: 'liveness-events'
          }
        }
      }
      deadLetterWithResourceIdentity: {
        identity: { type: 'SystemAssigned' }
        deadLetterDestination: {
          endpointType: 'StorageBlob'
          properties: {
            resourceId: account.id
            blobContainerName: 'dead-letters'
          }
        }
      }
    }
  }
}
