"""A study: methods of making mated images held beside each other, by several matchers (after IFPC and IJCB 2020)."""
