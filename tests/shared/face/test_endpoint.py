import pytest

from shared.face.endpoint import REGION_NAMES, Endpoint, custom_endpoint, regional_endpoint

SUBDOMAIN = ".cognitiveservices.azure.com"


def test_known_region_gives_its_host_without_entra() -> None:
    expected = Endpoint("https://westeurope.api.cognitive.microsoft.com", takes_entra_tokens=False)
    assert expected == regional_endpoint("westeurope")


@pytest.mark.parametrize(
    "region",
    [
        "",
        "westmars",
        "WestEurope",
        "westeurope\n",
        " westeurope",
        "westeurope.evil.example/",
        "../westeurope",
    ],
)
def test_unknown_region_is_refused_without_its_value(region: str) -> None:
    with pytest.raises(ValueError, match="name of an Azure region") as refusal:
        regional_endpoint(region)
    assert str(refusal.value) == "must be the name of an Azure region that has Face, in the form westeurope"


LOOPBACK = ("http://127.0.0.1:7071", "http://localhost:1", "https://[::1]:65535", "http://localhost")


@pytest.mark.parametrize(
    "url",
    [*(f"https://{name}{SUBDOMAIN}" for name in ("contoso", "my-face-2", "ab", "a" * 64)), *LOOPBACK],
)
def test_custom_subdomain_and_loopback_are_taken_with_entra(url: str) -> None:
    """A name has 2 to 64 characters. A simulator on this machine may speak plain HTTP."""
    for given in (url, f"{url}/"):
        assert Endpoint(url, takes_entra_tokens=True) == custom_endpoint(given)


NO_SUBDOMAINS = ("http://contoso", "https://a", f"https://{'a' * 65}", "https://-contoso", "https://Contoso")
MORE = (".evil.example", ":8443", "/face", "#a", "\n", "\\@evil.example")


@pytest.mark.parametrize(
    "url",
    [
        *(
            f"{start}{SUBDOMAIN}"
            for start in (*NO_SUBDOMAINS, "https://\u00fcnicode", "https://user:password@contoso")
        ),
        *(f"https://contoso{SUBDOMAIN}{end}" for end in MORE),
        *("", f"https://evil.example/contoso{SUBDOMAIN}", "https://westeurope.api.cognitive.microsoft.com"),
        *(
            "https://169.254.169.254",
            "http://127.0.0.2:80",
            "http://localhost.evil.example",
            "file:///etc/passwd",
        ),
        *(
            "http://user@localhost:80",
            "http://localhost:0",
            "http://localhost:65536",
            "http://localhost:80/path",
        ),
        "http://localhost:8\N{FULLWIDTH DIGIT ZERO}",
    ],
    ids=ascii,
)
def test_any_other_url_is_refused_without_its_value(url: str) -> None:
    with pytest.raises(ValueError, match=r"^must be https://NAME") as refusal:
        custom_endpoint(url)
    assert not url or url not in str(refusal.value)


# The titles on the vendor's page of the create operation, v1.1-preview.1.
PAGE = """
Australia East, Brazil South, Canada Central, Central India, Central US, East Asia, East US, East US
2, France Central, Germany West Central, Italy North, Japan East, Japan West, Jio India West, Korea
Central, North Central US, North Europe, Norway East, Qatar Central, South Africa North, South
Central US, Southeast Asia, Sweden Central, Switzerland North, Switzerland West, UAE North, UK
South, West Central US, West Europe, West US, West US 2, West US 3
"""


def test_table_holds_the_regions_of_the_vendors_page() -> None:
    names = [title.strip().lower().replace(" ", "") for title in PAGE.replace("\n", " ").split(",")]
    assert len(names) == 32
    assert sorted(names) == sorted(REGION_NAMES)
