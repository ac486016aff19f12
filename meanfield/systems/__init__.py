"""What evolves: networks, data, step-size laws, dynamics."""
