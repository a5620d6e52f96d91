"""Cairo's data as felts: types, ABI layouts, selectors and text. Pure, and nothing of Vesu."""
