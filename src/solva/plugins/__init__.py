"""Docker's legacy plugins: processes that serve JSON over HTTP, found by a file (``discovery.py``), asked by
``client.py``; ``finder.py`` knows which there are and what they implement."""
