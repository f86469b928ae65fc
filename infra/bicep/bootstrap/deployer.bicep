metadata description = 'An identity that jobs of one environment of a repository may use, without any secret.'

@description('Required. The environment of the repository.')
param environment string

@description('Required. The repository as the subject of its tokens has it.')
param repository string

@description('Required. The region.')
param location string

// https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust-user-assigned-managed-identity
var audienceSuffix = az.environment().name == 'AzureUSGovernment'
  ? 'USGov'
  : az.environment().name == 'AzureChinaCloud' ? 'China' : ''

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-liveness-deployer-${environment}'
  location: location

  resource jobs 'federatedIdentityCredentials' = {
    name: 'github'
    properties: {
      issuer: 'https://token.actions.githubusercontent.com'
      subject: 'repo:${repository}:environment:${environment}'
      audiences: ['api://AzureADTokenExchange${audienceSuffix}']
    }
  }
}

@description('The principal that roles are assigned to.')
output principalId string = identity.properties.principalId

@description('What the jobs sign in as.')
output clientId string = identity.properties.clientId
