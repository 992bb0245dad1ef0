"""What if a process dies, stops or forgets? Campaigns that do it to a real platform, and check that nothing shows."""
