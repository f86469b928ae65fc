from shared.face.regions import REGION_HOSTS

# The list of the vendor's page of the create operation, v1.1-preview.1, as it stands there.
PAGE = """
Australia East - australiaeast.api.cognitive.microsoft.com
Brazil South - brazilsouth.api.cognitive.microsoft.com
Canada Central - canadacentral.api.cognitive.microsoft.com
Central India - centralindia.api.cognitive.microsoft.com
Central US - centralus.api.cognitive.microsoft.com
East Asia - eastasia.api.cognitive.microsoft.com
East US - eastus.api.cognitive.microsoft.com
East US 2 - eastus2.api.cognitive.microsoft.com
France Central - francecentral.api.cognitive.microsoft.com
Germany West Central - germanywestcentral.api.cognitive.microsoft.com
Italy North - italynorth.api.cognitive.microsoft.com
Japan East - japaneast.api.cognitive.microsoft.com
Japan West - japanwest.api.cognitive.microsoft.com
Jio India West - jioindiawest.api.cognitive.microsoft.com
Korea Central - koreacentral.api.cognitive.microsoft.com
North Central US - northcentralus.api.cognitive.microsoft.com
North Europe - northeurope.api.cognitive.microsoft.com
Norway East - norwayeast.api.cognitive.microsoft.com
Qatar Central - qatarcentral.api.cognitive.microsoft.com
South Africa North - southafricanorth.api.cognitive.microsoft.com
South Central US - southcentralus.api.cognitive.microsoft.com
Southeast Asia - southeastasia.api.cognitive.microsoft.com
Sweden Central - swedencentral.api.cognitive.microsoft.com
Switzerland North - switzerlandnorth.api.cognitive.microsoft.com
Switzerland West - switzerlandwest.api.cognitive.microsoft.com
UAE North - uaenorth.api.cognitive.microsoft.com
UK South - uksouth.api.cognitive.microsoft.com
West Central US - westcentralus.api.cognitive.microsoft.com
West Europe - westeurope.api.cognitive.microsoft.com
West US - westus.api.cognitive.microsoft.com
West US 2 - westus2.api.cognitive.microsoft.com
West US 3 - westus3.api.cognitive.microsoft.com
"""


def test_table_is_read_holds_the_regions_of_the_page() -> None:
    """The table has the 32 regions of the vendor's page, named as the page's titles are without spaces."""
    rows = (line.split(" - ") for line in PAGE.strip().splitlines())
    expected = {title.lower().replace(" ", ""): host for title, host in rows}

    assert len(expected) == 32
    assert expected == REGION_HOSTS
