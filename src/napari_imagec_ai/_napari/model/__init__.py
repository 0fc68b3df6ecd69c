"""The model section: choosing, describing, packaging, trusting."""
