"""HTTP listeners with limits on connections, request heads and bodies, and on the time for each."""
