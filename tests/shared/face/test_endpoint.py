import pytest

from shared.face.endpoint import REGION_NAMES, custom_endpoint

SUBDOMAIN = ".cognitiveservices.azure.com"


LOOPBACK = ("http://127.0.0.1:7071", "http://localhost:1", "https://[::1]:65535", "http://localhost")


@pytest.mark.parametrize(
    "url",
    [*(f"https://{name}{SUBDOMAIN}" for name in ("contoso", "my-face-2", "ab", "a" * 64)), *LOOPBACK],
)
def test_custom_subdomain_and_loopback_are_taken(url: str) -> None:
    """A name has 2 to 64 characters. A simulator on this machine may speak plain HTTP."""
    for given in (url, f"{url}/"):
        assert custom_endpoint(given) == url


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
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^expected the URL of a custom subdomain, or of this machine$"):
        custom_endpoint(url)


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
