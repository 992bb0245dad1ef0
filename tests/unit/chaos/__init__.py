"""What a campaign of kills draws, keeps and concludes, without a platform."""
