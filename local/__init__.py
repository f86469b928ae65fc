"""What a laptop needs in place of Azure: a functions host, a Face simulator, a console page."""
