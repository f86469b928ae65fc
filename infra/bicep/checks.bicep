metadata description = 'What Azure or the app would refuse, found before anything is created: one sentence for each fault.'

import { brokerType, budgetType, easyAuthType, regionType } from 'types.bicep'

@description('The regions of the public cloud that have no availability zones: https://learn.microsoft.com/azure/reliability/regions-list')
var withoutZones = [
  'australiacentral'
  'australiacentral2'
  'australiasoutheast'
  'brazilsoutheast'
  'canadaeast'
  'francesouth'
  'germanynorth'
  'jioindiacentral'
  'jioindiawest'
  'koreasouth'
  'northcentralus'
  'norwaywest'
  'southafricawest'
  'southindia'
  'switzerlandwest'
  'uaecentral'
  'ukwest'
  'westcentralus'
  'westindia'
  'westus'
]

@export()
@description('Whether a region has availability zones.')
func hasZones(region string) bool => !contains(withoutZones, region)

@export()
@description('Whether a region is in the public cloud. Unlike environment(), the name of a region is known when a snapshot is made.')
func isPublic(region string) bool =>
  !startsWith(region, 'usgov') && !startsWith(region, 'usdod') && !startsWith(region, 'china')

@export()
@description('The faults of names and regions.')
func faultsOfRegions(environmentName string, regions regionType[]) string[] =>
  concat(
    faultsOfName('environmentName', environmentName),
    length(environmentName) >= 2 && length(environmentName) <= 10
      ? []
      : ['environmentName has two to ten characters, which "${environmentName}" has not'],
    flatten(map(regions, region => faultsOfRegion(region))),
    flatten(map(
      regions,
      region => concat(faultsOfDomain(region.?domain), faultsOfBaseUrl(region.?publicBaseUrl))
    )),
    faultsOfCodes(map(regions, region => region.code))
  )

func faultsOfCodes(codes string[]) string[] => length(union(codes, [])) == length(codes) ? [] : ['each region needs a code of its own: ${join(codes, ', ')}']

func faultsOfRegion(region regionType) string[] =>
  concat(
    faultsOfName('the code of a region', region.code),
    faultsOfName('the name of a region', region.name),
    faultsOfName('faceLocation', region.?faceLocation ?? region.name),
    hasZones(region.name) || (region.?storageSku ?? '') != 'Standard_ZRS'
      ? []
      : ['${region.name} has no zones: storageSku cannot be Standard_ZRS'],
    hasZones(region.name) || !(region.?zoneRedundant ?? false)
      ? []
      : ['${region.name} has no zones: zoneRedundant cannot be true'],
    (region.?zoneRedundant ?? false) && (region.?storageSku ?? '') == 'Standard_LRS'
      ? ['${region.name} is zoneRedundant: storageSku cannot be Standard_LRS, which one zone holds']
      : []
  )

@export()
@description('The faults of the host name of a custom domain.')
func faultsOfDomain(domain string?) string[] =>
  domain == null || (contains(domain!, '.') && empty(filter(split(domain!, '.'), label => !isLabel(label))))
    ? []
    : ['domain is a host name in lower case, such as liveness.example.com, and not "${domain}"']

func isLabel(label string) bool =>
  !empty(label) && length(label) < 64 && !startsWith(label, '-') && !endsWith(label, '-') && empty(foreign(replace(
    label,
    '-',
    ''
  )))

@export()
@description('The fault of one host name in two places, or of two that differ in a hyphen for a dot: one resource of Front Door would have both.')
func faultsOfDomains(domains string[]) string[] =>
  length(union(map(domains, domain => replace(domain, '.', '-')), [])) == length(domains) ? [] : ['domain is another one for each region and for frontDoor, where a hyphen counts as a dot: ${join(domains, ', ')}']

@description('The numbers of which addresses of version 4, and the lengths of prefixes, are made.')
var numbers = map(range(0, 256), number => string(number))

@export()
@description('The faults of the ranges that packages may be published from.')
func faultsOfRanges(ranges string[]) string[] =>
  map(
    filter(ranges, text => !isRange(split(text, '/'))),
    text => 'publishFrom holds address ranges such as 192.0.2.7/32, and not "${text}"'
  )

func isRange(parts string[]) bool =>
  length(parts) == 2 && (contains(first(parts)!, ':')
    ? empty(foreign(replace(first(parts)!, ':', ''))) && contains(take(numbers, 129), last(parts))
    : length(split(first(parts)!, '.')) == 4 && empty(filter(
        split(first(parts)!, '.'),
        number => !contains(numbers, number)
      )) && contains(take(numbers, 33), last(parts)))

func faultsOfBaseUrl(url string?) string[] =>
  url == null || (startsWith(url!, 'https://') && !endsWith(url!, '/') && !endsWith(url!, '/api'))
    ? []
    : ['publicBaseUrl starts with https://, and what follows it is /api: it is not "${url}"']

func faultsOfName(what string, text string) string[] =>
  empty(foreign(text)) ? [] : ['${what} holds lower-case letters and digits alone, and not "${text}"']

func foreign(text string) string[] =>
  filter(
    map(range(0, length(text)), i => substring(text, i, 1)),
    character => !contains('abcdefghijklmnopqrstuvwxyz0123456789', character)
  )

@description('The first days of months, as a budget has one.')
var firstDays = flatten(map(
  range(2020, 80),
  year => map(range(1, 12), month => '${year}-${padLeft(month, 2, '0')}-01')
))

@export()
@description('The fault of a budget: https://learn.microsoft.com/rest/api/consumption/budgets/create-or-update')
func faultsOfBudget(budget budgetType?) string[] =>
  budget == null || contains(firstDays, budget!.from)
    ? []
    : ['budget.from is the first day of a month, such as 2026-12-01, and not "${budget!.from}"']

@export()
@description('The faults of how callers sign in. With them the app would not start, or Easy Auth would refuse good tokens.')
func faultsOfSignIn(broker brokerType, easyAuth easyAuthType?) string[] =>
  concat(
    broker.clientAuth == 'jwt' && empty(broker.?authIssuer) && empty(broker.?authSecretName)
      ? ['clientAuth jwt needs authIssuer or authSecretName']
      : [],
    broker.clientAuth == 'jwt' && empty(broker.?authAudience) ? ['clientAuth jwt needs authAudience'] : [],
    easyAuth == null || (broker.clientAuth == 'jwt' && length(broker.?authIssuer ?? []) == 1 && empty(broker.?authSecretName))
      ? []
      : ['easyAuth needs clientAuth jwt with one authIssuer and without authSecretName'],
    contains(easyAuth.?allowedApplications ?? [], '')
      ? ['allowedApplications holds client ids, and none may be empty']
      : []
  )
