"""Where a network looked, by several methods, and figures that say whether to believe them."""
