"""Do the dashboards ask for what the services emit, and tell their reader what to make of it?"""
