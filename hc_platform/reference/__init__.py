"""Reference geography: states, counties, territories, grid regions, pricing nodes, ZIP centres, substations."""
