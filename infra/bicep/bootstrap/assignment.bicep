metadata description = 'A role in the whole subscription. The name holds the principal: a new identity gets a new assignment.'

targetScope = 'subscription'

@description('Required. Who gets the role.')
param principalId string

@description('Required. The id of the role.')
param roleId string

@description('Optional. What narrows it down.')
param condition string?

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, principalId, roleId)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)
    condition: condition
    conditionVersion: condition == null ? null : '2.0'
  }
}
