"""Keys and encrypted objects. Other apps import `gantry.vault.public`."""
