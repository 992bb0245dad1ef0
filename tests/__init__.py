"""What must hold: each test states one fact."""
