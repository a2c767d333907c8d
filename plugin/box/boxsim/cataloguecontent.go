package boxsim

import "net/http"

func contentRow(name string, status int, code, message string, grade Grade, reason string) Row {
	return Row{Name: name, Surface: SurfaceContent, Status: status, Code: code, Message: message, Grade: grade, Reason: reason}
}

// contentRows are about folders, files and uploads.
func contentRows() []Row {
	const bad, forbidden, conflict = http.StatusBadRequest, http.StatusForbidden, http.StatusConflict
	rows := []Row{
		contentRow("content_item_name_in_use", conflict, "item_name_in_use", "Item with the same name already exists", Field, "captured, with one object as its conflict"),
		contentRow("content_name_reserved", conflict, "name_temporarily_reserved", "The item name is reserved by another processing item. Wait and then retry the request, or wait and check the parent folder to see if the name is in use.", Doc, "two uploads of one name at the same time"),
		contentRow("content_operation_blocked", conflict, "operation_blocked_temporary", "The operation is blocked by another ongoing operation", Doc, "another move, copy or deletion is going on"),
		contentRow("content_item_name_invalid", bad, "item_name_invalid", "Item name invalid", Doc, "documented"),
		contentRow("content_item_name_too_long", bad, "item_name_too_long", "Item name too long", Doc, "documented"),
		contentRow("content_folder_not_empty", bad, "folder_not_empty", "Cannot delete - folder not empty", Doc, "documented"),
		contentRow("content_cyclical_structure", bad, "cyclical_folder_structure", "Folder move creates cyclical folder structure", Doc, "documented"),
		contentRow("content_item_trashed", http.StatusNotFound, "trashed", "Item is trashed", Doc, "documented"),
		contentRow("content_item_locked", forbidden, "access_denied_item_locked", "Access denied - item locked", Doc, "documented"),
		contentRow("content_storage_limit", forbidden, "storage_limit_exceeded", "Account storage limit reached", Doc, "the account is full"),
		contentRow("content_file_size_limit", forbidden, "file_size_limit_exceeded", "File size exceeds the folder owner's file size limit", Doc, "documented"),
		contentRow("content_too_large", http.StatusRequestEntityTooLarge, "request_entity_too_large", "Request Entity too Large", Doc, "documented"),
		contentRow("content_length_required", http.StatusLengthRequired, "length_required", "content-length header was required, but not provided.", Doc, "documented"),
		contentRow("content_bad_digest", bad, "bad_digest", "The specified content-md5 did not match what we received", Doc, "an upload whose hash differs"),
		contentRow("content_metadata_after_contents", bad, "metadata_after_file_contents", "Metadata is included after file contents in a file upload request.", Doc, "documented"),
		contentRow("content_digest_mismatch", bad, "digest_mismatch", "File digest was incorrect. Actual: I9YWC4PWLXwDLtBnskju3LXGIOw= Expected: 0z1JQ/aCu1KF9AwwYfYdoXuOk0M=", Field, "captured at commits"),
		contentRow("content_range_overlap", conflict, "range_overlaps_existing_part", "The range overlaps with a part that was uploaded before", Doc, "the code is documented, the text isn't"),
		contentRow("content_session_forbidden", forbidden, "forbidden", "Client does not have permission to upload to this session.", Doc, "another user's upload session"),
		contentRow("content_session_expired", http.StatusGone, "session_expired", "The upload session has expired", Doc, "the code is documented, the text isn't"),
		contentRow("content_upload_failed", http.StatusGone, "upload_failed", "The upload has failed", Doc, "a session that can't go on; the code is documented, the text isn't"),
		{Name: "content_not_ready", Surface: SurfaceContent, Status: http.StatusAccepted, Headers: map[string]string{"retry-after": "1"}, Grade: Doc, Reason: "a commit or a download that has to wait"},
	}
	rows[0].Context = map[string]any{"conflicts": map[string]any{
		"type": kindFile, "id": "920000000001", "sequence_id": "0", "etag": "0", "name": "Budget.csv",
		"sha1":         "6c86371a769f5a053859521d4536e0d673ae2a36",
		"file_version": map[string]any{"type": "file_version", "id": "8920000000001", "sha1": "6c86371a769f5a053859521d4536e0d673ae2a36"},
	}}
	return rows
}
