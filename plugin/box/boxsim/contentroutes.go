package boxsim

// contentRoutes are the endpoints of folders and files. Uploads have a base of
// their own, /api/2.0, as on Box's host for them.
func contentRoutes() []route {
	return []route{
		{pattern: "POST /2.0/folders", handle: (*Server).createFolder},
		{pattern: "GET /2.0/folders/{folder_id}", handle: (*Server).folder},
		{pattern: "PUT /2.0/folders/{folder_id}", handle: (*Server).updateFolder},
		{pattern: "DELETE /2.0/folders/{folder_id}", handle: (*Server).deleteFolder},
		{pattern: "GET /2.0/folders/{folder_id}/items", handle: (*Server).folderItems},
		{pattern: "GET /2.0/files/{file_id}", handle: (*Server).file},
		{pattern: "PUT /2.0/files/{file_id}", handle: (*Server).updateFile},
		{pattern: "DELETE /2.0/files/{file_id}", handle: (*Server).deleteFile},
		{pattern: "GET /2.0/files/{file_id}/versions", handle: (*Server).fileVersions},
		{pattern: "GET /2.0/files/{file_id}/content", handle: (*Server).download},
		{pattern: "GET /d/1/{ticket}/download", handle: (*Server).fetch},
		{pattern: "OPTIONS /2.0/files/content", handle: (*Server).preflight},
		{pattern: "GET /2.0/search", handle: (*Server).search},
		{pattern: "POST /api/2.0/files/content", handle: (*Server).upload, receive: (*Server).receiveUpload},
		{pattern: "POST /api/2.0/files/{file_id}/content", handle: (*Server).upload, receive: (*Server).receiveUpload},
		{pattern: "POST /api/2.0/files/upload_sessions", handle: (*Server).createSession},
		{pattern: "POST /api/2.0/files/{file_id}/upload_sessions", handle: (*Server).createVersionSession},
		{pattern: "GET /api/2.0/files/upload_sessions/{upload_session_id}", handle: (*Server).session},
		{pattern: "PUT /api/2.0/files/upload_sessions/{upload_session_id}", handle: (*Server).uploadPart, receive: (*Server).receivePart},
		{pattern: "DELETE /api/2.0/files/upload_sessions/{upload_session_id}", handle: (*Server).abortSession},
		{pattern: "GET /api/2.0/files/upload_sessions/{upload_session_id}/parts", handle: (*Server).sessionParts},
		{pattern: "POST /api/2.0/files/upload_sessions/{upload_session_id}/commit", handle: (*Server).commitSession, receive: (*Server).receiveCommit},
	}
}
