"""Page of a diagnosis: the verdict, where the time goes, one slow request, and what a fix would gain."""
