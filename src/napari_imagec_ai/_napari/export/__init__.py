"""The section that writes results into files, in the formats that others read."""
