"""Background work of every order process."""
