"""What the broker costs beside bare peers; figures are ratios within one run."""
