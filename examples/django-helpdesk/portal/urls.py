from django.contrib import admin
from django.urls import include, path

from portal.identity import reply

urlpatterns = [
    path("admin/", admin.site.urls),
    path("tickets/<int:ticket_id>/update/", reply, name="reply"),
    path("", include("helpdesk.urls")),
]
